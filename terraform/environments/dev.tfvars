# The same as the defaults, so that `terraform apply` alone and `make apply` mean one system.
environment = "dev"
memory_size = 512
