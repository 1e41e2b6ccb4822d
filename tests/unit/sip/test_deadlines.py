from random import Random

from sip.timers import Timers
from sip.transaction.deadlines import Deadlines
from sip.transaction.key import ClientKey
from sip.transaction.machine import State, Transaction


class Clocked(Transaction, transitions={}, ignored={}, timers={}):
    """A transaction whose deadline a test sets by hand."""


def clocked(name: str, expire_at: float) -> Clocked:
    made = Clocked(ClientKey(name, "BYE"), State.TRYING, Timers().unreliable)
    made.expire_at = expire_at
    return made


def test_transactions_come_up_in_the_order_of_their_deadlines() -> None:
    tested = Deadlines()
    made = [clocked(str(n), float(n)) for n in (3, 1, 2)]
    for transaction in made:
        tested.schedule(transaction)
    assert tested.next() == 1.0
    assert [t.key.branch for t in tested.due(2.5)] == ["1", "2"]
    assert tested.next() == 3.0


def test_a_deadline_moved_later_is_put_right_when_it_surfaces() -> None:
    tested = Deadlines()
    made = clocked("a", 1.0)
    tested.schedule(made)
    made.expire_at = 5.0
    tested.schedule(made)
    assert len(tested) == 1
    assert tested.next() == 5.0
    assert list(tested.due(4.9)) == []
    assert list(tested.due(5.0)) == [made]


def test_a_deadline_moved_earlier_comes_up_once() -> None:
    tested = Deadlines()
    made = clocked("a", 5.0)
    tested.schedule(made)
    made.expire_at = 1.0
    tested.schedule(made)
    assert list(tested.due(10.0)) == [made]
    assert len(tested) == 0


def test_a_forgotten_transaction_never_comes_up() -> None:
    tested = Deadlines()
    made = clocked("a", 1.0)
    tested.schedule(made)
    tested.forget(made)
    assert tested.next() is None
    assert list(tested.due(10.0)) == []


def test_a_transaction_without_a_timer_is_not_kept() -> None:
    tested = Deadlines()
    made = clocked("a", 1.0)
    tested.schedule(made)
    made.stop_timers()
    assert tested.next() is None
    assert len(tested) == 0


def test_the_heap_stays_within_twice_its_transactions() -> None:
    tested = Deadlines()
    rand = Random(1)
    alive: list[Clocked] = []
    for n in range(20_000):
        made = clocked(str(n), 1000 + rand.random())
        tested.schedule(made)
        alive.append(made)
        if len(alive) > 100:
            tested.forget(alive.pop(rand.randrange(len(alive))))
        assert len(tested) <= 2 * len(alive) + 600
    assert len(list(tested.due(2000.0))) == len(alive)
