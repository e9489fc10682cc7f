"""Load from `wrk` over kept connections, and what it saw."""

from __future__ import annotations

import json
import subprocess
import tempfile

import attrs
import trio

from tests.bench.parts import BenchFailed

# The token goes into the script and not among the arguments, which everybody on a machine may read.
_SCRIPT = """
wrk.headers["Authorization"] = "Bearer %s"
done = function(summary, latency, requests)
  io.write(string.format('\\n{"requests":%%d,"micros":%%d,"bytes":%%d,"failed":%%d,"p50":%%d,"p99":%%d}\\n',
    summary.requests, summary.duration, summary.bytes,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
      + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


_SLACK = 0.001  # of an answer's size


@attrs.frozen(kw_only=True)
class Load:
    """What one run of wrk measured."""

    requests: int
    seconds: float
    bytes: int  # of all answers, heads included
    p50: float  # milliseconds
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


async def load(url: str, *, connections: int, seconds: int, token: str = "", size: int | None = None) -> Load:
    """Ask for a URL all the time. Raises BenchFailed unless every answer is a success of `size` bytes, heads included.

    wrk counts bytes in total, and stops in the middle of an answer on each connection.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % token)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url]
        with trio.fail_after(seconds + 20):
            done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode()
    if done.returncode:
        raise BenchFailed(f"wrk ended with status {done.returncode}:\n{said}")
    found = json.loads(said.strip().splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise BenchFailed(f"{found['failed']} of {found['requests']} requests to {url} failed:\n{said}")
    average = found["bytes"] / found["requests"]
    if size is not None and abs(average - size) > size * max(_SLACK, connections / found["requests"]):
        raise BenchFailed(f"answers of {url} have {average:.2f} bytes instead of {size}")
    return Load(
        requests=found["requests"],
        seconds=found["micros"] / 1e6,
        bytes=found["bytes"],
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
    )
