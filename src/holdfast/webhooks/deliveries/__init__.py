"""Deliveries: entries of the log on their way to the endpoints that want them.

    delivery.py  the record, the retries' schedule, what a renderer is (pure)
    signing.py   both vendors' signatures (pure)
    plan.py      new entries become deliveries, in the transaction that moves a cursor behind them
    send.py      claims what is due, sends, writes down what came of it, lets the next of the queue go
    replay.py    what was given up, once more; and what an administrator looks at

States: due, waiting, delivered, dead. At least once: a receiver recognises a duplicate by the event's id, which is also
`webhook-id`. In order for each account at each endpoint: one is under way, and the next one goes only after it was
delivered or given up. Leaves the bodies to the doors, which hand their renderers in.
"""
