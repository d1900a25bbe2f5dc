"""The one check of feature parameters: a wrong one is refused by name, before anything compiles."""


def require(kernel_name: str, **smallest: tuple[int, int]) -> None:
    """Refuse window lengths that are not integers or too small.

    Args:
        kernel_name: for the message.
        smallest: parameter name to (value, smallest value allowed).

    Raises:
        ValueError: naming the kernel, the parameter, its value and the bound.
    """
    for name, (value, minimum) in smallest.items():
        # Written by hand in a feature table, so a float or a bool can arrive in spite of the type.
        if type(value) is not int or value < minimum:
            msg = f"{kernel_name}: {name} must be an integer of at least {minimum}, not {value!r}"
            raise ValueError(msg)
