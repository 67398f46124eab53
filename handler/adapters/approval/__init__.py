"""What the approval workflow, its page and its notices stand on."""
