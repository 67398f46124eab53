"""Read what a shared library asks of the machine that loads it.

The rule it keeps: a library passes only when glibc 2.17 on the named architecture can load it. A newer glibc, as under
an emulator, would hide a fault that shows on python3.11's Amazon Linux 2 alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection

MACHINES = {"aarch64": "EM_AARCH64", "x86_64": "EM_X86_64"}
GLIBC_MAX = (2, 17)


class ElfError(Exception):
    """A library that must not ship. The message names it and what is wrong with it."""


@dataclass(frozen=True)
class Library:
    """What a shared library needs and shows."""

    machine: str
    needed: tuple[str, ...]
    versions: tuple[str, ...]
    """Symbol versions it asks for, such as GLIBC_2.17."""
    exported: tuple[str, ...]


def read_library(content: bytes, name: str) -> Library:
    """Parse an ELF shared library. Raises ElfError when it is none."""
    try:
        elf = ELFFile(io.BytesIO(content))
        dynamic = elf.get_section_by_name(".dynamic")
        symbols = elf.get_section_by_name(".dynsym")
        # By type and not by name alone: a section that only has the name says nothing.
        if not isinstance(dynamic, DynamicSection) or not isinstance(symbols, SymbolTableSection):
            raise ElfError(f"{name} has no dynamic section, it is not a shared library: build it again")
        # pyelftools gives a tag this attribute by its kind.
        needed = tuple(sorted(tag.needed for tag in dynamic.iter_tags("DT_NEEDED")))  # type: ignore[attr-defined]
        requirements = elf.get_section_by_name(".gnu.version_r")
        if not isinstance(requirements, GNUVerNeedSection | None):
            raise ElfError(f"{name} has no list of symbol versions where it says that it has one: build it again")
        versions = {
            version.name for _, group in (requirements.iter_versions() if requirements else ()) for version in group
        }
        exported = tuple(
            sorted(
                symbol.name
                for symbol in symbols.iter_symbols()
                if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK")
            )
        )
    except ELFError as error:
        raise ElfError(f"{name} is not an ELF file: {error}: build it again") from error
    return Library(elf["e_machine"], needed, tuple(sorted(versions)), exported)


def check_library(content: bytes, name: str, architecture: str) -> Library:
    """Check machine and symbol versions against `architecture` (aarch64 or x86_64). Raises ElfError."""
    library = read_library(content, name)
    if library.machine != MACHINES[architecture]:
        raise ElfError(f"{name} is for {library.machine}, not {MACHINES[architecture]}: build the {architecture} wheel")
    for version in library.versions:
        family, _, number = version.partition("_")
        if family != "GLIBC" or tuple(int(part) for part in number.split(".")) > GLIBC_MAX:
            raise ElfError(f"{name} asks for {version}, Lambda's python3.11 has at most GLIBC_2.26: target glibc 2.17")
    return library
