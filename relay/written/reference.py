"""Scalars that hold a reference, as `${VAR}`: what was filled in for it, or that nothing could be."""


class Filled(str):
    """A scalar that was nothing but one reference: a number where only a number can stand, else text."""

    __slots__ = ()


class Loose(Filled):
    """An unquoted one: a number also where anything can stand, as YAML would have it."""

    __slots__ = ()


class Opaque(str):
    """A scalar that could not be filled in; it reads as it stands in the file, and no check looks into it."""

    __slots__ = ()
