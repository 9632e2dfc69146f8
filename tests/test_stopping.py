# SPDX-License-Identifier: Apache-2.0
"""What a signal's handler raised is heard of, whoever swallows it on its way up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from bidsqa.stopping import Stopped, keeping_interruptions, raise_interruption, stopping_cleanly


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_becomes_stopped_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stop, stopping_cleanly():
        os.kill(os.getpid(), number)
    assert stop.value.number == number
    assert signal.getsignal(number) is before
    raise_interruption()  # nothing is left of it


def test_swallowed_stop_is_raised_at_the_next_question() -> None:
    reached = []

    def work() -> None:
        raise_interruption()
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
        reached.append("went on")
        raise_interruption()
        reached.append("never")

    with pytest.raises(Stopped), stopping_cleanly():
        work()
    assert reached == ["went on"]


def test_swallowed_stop_is_raised_at_the_latest_at_the_end() -> None:
    with pytest.raises(Stopped), stopping_cleanly(), contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)


def test_error_that_a_stop_was_turned_into_is_still_a_stop() -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException as error:
            raise RuntimeError("returned a result with an exception set") from error

    with pytest.raises(Stopped), stopping_cleanly():
        work()


def test_second_signal_does_not_cut_short_the_tidying() -> None:
    tidied = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied.append("all")

    with pytest.raises(Stopped), stopping_cleanly():
        work()
    assert tidied == ["all"]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_of_another_program_stays_a_keyboard_interrupt() -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        keeping_interruptions(),
        contextlib.suppress(BaseException),
    ):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_within_stopping_cleanly_the_outer_handlers_stay() -> None:
    with stopping_cleanly():
        outer = signal.getsignal(signal.SIGTERM)
        with keeping_interruptions():
            assert signal.getsignal(signal.SIGTERM) is outer
        assert signal.getsignal(signal.SIGTERM) is outer


def test_other_threads_are_left_alone() -> None:
    said = []

    def work() -> None:
        with stopping_cleanly(), keeping_interruptions():
            said.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [before]
