"""The host over HTTP: what crosses the network, and nothing that knows how a run goes.

    door         before all routes: size, token, form of the body, drain, throttle
    gate         each route names its verb, and is passed by who may do that
    routes…      runs, events, blueprints, tokens, audit, the host itself
    problems     what went wrong, as RFC 9457 documents with our codes
    app          the parts put together; `Host.asgi()` returns it
    server       one port, one process: uvicorn, signals, drain
    client       the same names from afar: `swarm.connect(url, token=…)`

A host hands itself in as `served.Served`; nothing here imports it.
"""
