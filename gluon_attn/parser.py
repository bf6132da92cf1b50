"""argparse whose mistakes are our errors: one sentence, said last, without a screen of usage; and the exit status."""

from __future__ import annotations

import argparse
import difflib
import io
import math
import os
import re
import sys
from typing import Any, Callable, Optional, Sequence

from gluon_attn import plugins
from gluon_attn.errors import INTERRUPTED, GluonAttnError
from gluon_attn.files import FULL

LARGEST = 1 << 31  # no number of a flag is as large: MXNet's are of 32 bits


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises GluonAttnError in place of printing its usage and ending the program.

    imports : whether it has `--import MODULE`, for mechanisms from outside (plugins.py)

    >>> Parser(prog="greet").parse_args(["--helo"])
    Traceback (most recent call last):
    gluon_attn.errors.GluonAttnError: There is no option --helo. Did you mean --help? `greet --help` shows all options.
    """

    def __init__(self, *args: Any, imports: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if imports:
            words = "a module of yours that registers mechanisms; may stand several times"
            self.add_argument("--import", dest="imports", action="append", default=[], metavar="MODULE", help=words)

    def add_option(self, flag: str, default: Any, help: str, **shape: Any) -> None:
        """`add_argument` of a flag whose help says its default.

        >>> parser = Parser(prog="greet")
        >>> parser.add_option("--times", 3, "how often", type=int)
        """
        self.add_argument(flag, default=default, help=f"{help} (default: %(default)s)", **shape)

    def parse_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> argparse.Namespace:
        found = super().parse_args(args, namespace)
        plugins.want(vars(found).pop("imports", ()))
        return found

    def error(self, message):
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        sentence = self._unknown(unknown.group(1)) if unknown else f"{message[:1].upper()}{message[1:]}."
        raise GluonAttnError(f"{sentence} `{self.prog} --help` shows all options.")

    def _unknown(self, word):
        flag = word.split("=")[0]
        if not flag.startswith("-"):
            return f"{word!r} is one word too many."
        known = [option for action in self._actions for option in action.option_strings]
        near = [option for option in known if flag.strip("-") in option.split("-")]
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.7) or near[:3]
        return f"There is no option {flag}." + (f" Did you mean {' or '.join(near)}?" if near else "")


def number(kind: type = int, least: Optional[float] = None, above: Optional[float] = None) -> Callable[[str], Any]:
    """What reads a number for `add_argument(type=...)`: a finite one, from `least` or above `above`.

    >>> number(int, least=1)("0")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: '0' cannot be: give a whole number from 1
    """
    bound = f" from {least}" if least is not None else f" above {above}" if above is not None else ""
    wanted = f"a{' whole' if kind is int else ''} number{bound}"

    def read(word):
        try:
            value = kind(word)
        except ValueError:
            value = math.nan
        low = (least is not None and value < least) or (above is not None and value <= above)
        if low or not abs(value) < LARGEST:
            raise argparse.ArgumentTypeError(f"{word!r} cannot be: give {wanted}")
        return value

    return read


def exit_status(program: str, work: Callable[[], Optional[int]]) -> int:
    """What `work()` returns, or 0; 2 for a user's mistake, which `program` says in one sentence; 130 after Ctrl-C.

    >>> exit_status("greet", lambda: None)
    0
    """
    _print_anything()
    try:
        status = work() or 0
        sys.stdout.flush()
        return status
    except (GluonAttnError, FileNotFoundError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: {INTERRUPTED}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `gluon-attn list | head`: nobody reads on, and the interpreter need not flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno in FULL:
            print(f"{program}: {error}: what was being written is not whole. Free some space.", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is tried again at the end
        elif error.filename is None:
            raise  # of no file that a user could have named
        else:
            reason = f"{str(error.filename)!r:.300} cannot be used ({error.strerror})"
            print(f"{program}: {reason}: give another place, or the rights to it.", file=sys.stderr)
        return 2


def _print_anything():
    """What is printed is never an error itself: names of files need not be text, and nobody need listen."""
    if sys.stdout is None:  # closed
        sys.stdout = io.StringIO()
    if getattr(sys.stdout, "errors", "") == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
