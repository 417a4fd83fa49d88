"""The examples below the `--help` of a command."""


def examples(*lines: str) -> str:
    """An epilog with these lines as they are; a test parses each with the command that it calls."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])
