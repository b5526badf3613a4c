"""Torch, loaded whole: a Ctrl-C within it would end the process in C++, with words for nobody."""

import importlib
import signal
import sys
import threading


def load_torch() -> None:
    """Import it; a Ctrl-C meanwhile counts as soon as it is there.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    if "torch" in sys.modules:
        return
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # nobody here is to hear of Ctrl-C
        importlib.import_module("torch")
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        importlib.import_module("torch")
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt
