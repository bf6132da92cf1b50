"""argparse whose mistakes are our errors: one sentence, said last, without a screen of usage above it."""

from __future__ import annotations

import argparse
import difflib
import re

from gluon_attn.errors import GluonAttnError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises GluonAttnError in place of printing its usage and ending the program."""

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
