"""ULIDs: in order, never twice, not even across a fork."""

import os
import threading

import pytest

from holdfast import ids

NOW = 1_790_000_000.0


def test_ids_follow_one_another_within_a_millisecond_and_beyond_a_block_of_them() -> None:
    made = [ids.new_id(NOW) for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(ids.is_id(item) for item in made)


def test_ids_stay_in_order_when_the_clock_is_set_back_a_little_and_begin_anew_when_it_is_far() -> None:
    later = ids.new_id(NOW + 20)
    assert later < ids.new_id(NOW + 15)
    assert ids.new_id(NOW) < later


def test_an_id_begins_with_its_time() -> None:
    first = ids.new_id(NOW + 1000)
    assert ids.encode(int((NOW + 1000) * 1000) << 80)[:10] == first[:10]


def test_threads_never_make_the_same_id() -> None:
    made: list[str] = []

    def work() -> None:
        made.extend([ids.new_id(NOW + 2000) for _ in range(3000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 12_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_go_on_with_its_parents_ids() -> None:
    ids.new_id(NOW + 3000)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new_id(NOW + 3000).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 26).decode() != ids.new_id(NOW + 3000)
