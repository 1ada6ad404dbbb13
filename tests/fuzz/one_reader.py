"""`python -m tests.fuzz.one_reader NAME [libFuzzer's options] FOLDER…`: one reader, guided by what
of our code an input reaches. It ends by itself, as libFuzzer does."""

import sys

import atheris

with atheris.instrument_imports(include=["receiver"]):
    from tests.fuzz.readers import READERS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, READERS[name])
    atheris.Fuzz()
