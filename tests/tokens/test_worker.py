"""The loops beside the doors."""

import asyncio

from holdfast.worker import Loop, Worker
from tests.tokens.house import House


async def test_a_loop_goes_on_after_a_fault_of_our_own(house: House) -> None:
    holdfast, again, steps = house.holdfast, asyncio.Event(), 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps > 2:
            again.set()
        raise KeyError("nobody has thought of this")

    loop = Loop(0.01, "step_failed", step)
    worker = Worker(
        holdfast.database, holdfast.clock, holdfast.sweep, holdfast.forecast, sweep_interval=0, others=(loop,)
    )
    worker.start()
    async with asyncio.timeout(5):
        await again.wait()
    await worker.stop()
