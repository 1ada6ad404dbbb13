"""`python -m tests.fuzz.one_reader NAME [libFuzzer's options] FOLDER…`: fuzz one reader, guided by
the coverage of our code. Exits as libFuzzer does."""

import sys

import atheris

with atheris.instrument_imports(include=["receiver"]):
    from tests.fuzz.readers import READERS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, READERS[name])
    atheris.Fuzz()
