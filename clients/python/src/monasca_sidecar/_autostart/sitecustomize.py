"""Put at the head of PYTHONPATH by monasca-sidecar-run; the interpreter imports it when it starts.

Whatever goes wrong here, the program runs, and so does a sitecustomize that this one hides.
"""
import os
import sys


def _chain() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if mine is not None:
            sys.modules["sitecustomize"] = mine


def _start() -> None:
    try:
        from monasca_sidecar import _autoload

        _autoload.install()
    except Exception as error:  # another interpreter, without the client
        print(f"monasca-sidecar-run: metrics of {sys.executable} are not pushed: {error}", file=sys.stderr)


_start()
_chain()
