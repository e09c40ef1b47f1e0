"""What a page has its reader do, and a terminal in which it's done."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.working import eventually

_BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```', re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
_ENDED = "--- ended with"
STATUS_OF_REJECTED = 3
PATIENCE_S = 20.0  # for projections to catch up, or to be rebuilt


@dataclass(frozen=True)
class Shown:
    """A command in a page, and what the page says that it prints."""

    command: str
    output: str

    @property
    def status(self) -> int:
        """How it ends, by what it prints."""
        if self.output.startswith("rejected "):
            return STATUS_OF_REJECTED
        return 1 if "How to change a schema:" in self.output else 0

    def resembles(self, printed: str) -> bool:
        """Whether that was printed, up to chance; … in a page stands for anything."""
        parts = [re.escape(part) for part in without_chance(self.output).split("…")]
        return re.fullmatch(".*".join(parts), without_chance(printed), re.DOTALL) is not None


@dataclass(frozen=True)
class Written:
    """A file in a page, with its place in the reader's folder."""

    path: str
    text: str


def steps(page: str, snippets: Path) -> Iterator[Shown | Written]:
    """All that the reader does, in order.

    Args:
        page: its text.
        snippets: where files that it includes are.
    """
    for block in _BLOCK.finditer(page):
        if block["language"] == "console":
            yield from _commands(block["text"])
        elif block["title"]:
            text = _SNIPPET.sub(lambda found: (snippets / found[1]).read_text().removesuffix("\n"), block["text"])
            yield Written(block["title"], text)


def shown_in(page: str) -> Iterator[Shown]:
    """The commands of the console blocks."""
    for block in _BLOCK.finditer(page):
        if block["language"] == "console":
            yield from _commands(block["text"])


def _commands(block: str) -> Iterator[Shown]:
    for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = text.splitlines(keepends=True)
        command = lines.pop(0)
        while _is_open(command):
            command += lines.pop(0)
        yield Shown(command.strip(), "".join(lines).strip())


def _is_open(command: str) -> bool:
    """Whether it goes on in the next line, as long as a quote is open."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


def without_chance(output: str) -> str:
    """Without what differs from run to run: ids, positions, times."""
    output = re.sub(r" +$", "", output, flags=re.MULTILINE)
    output = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", output.strip())
    output = re.sub(r"position \d+", "position <n>", output)
    output = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>", output)
    output = re.sub(r"process \d+", "process <n>", output)
    output = re.sub(r" +\[100%\]", " [100%]", output)  # at the terminal's right edge
    output = re.sub(r"passed in [\d.]+s( \([\d:]+\))?", "passed in <n>s", output)
    return re.sub(r"\(\d+ ms\)", "(<n> ms)", output)


class Terminal:
    """One bash, in which commands run one after another: folder, variables and environment last. Made by `terminal`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, command: str) -> tuple[int, str]:
        """Type a command; returns its status and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Of its own standard input it mustn't read: that has the next commands.
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{_ENDED}' $?\n".encode())
        lines: list[str] = []
        async for line in self._process.stdout:
            text = line.decode()
            if text.startswith(_ENDED):
                return int(text.removeprefix(_ENDED)), "".join(lines).removesuffix("\n")
            lines.append(text)
        raise AssertionError(f"the shell ended at {command!r}: {''.join(lines)}")

    async def do(self, shown: Shown) -> None:
        """Type a command; it must end as the page says, and print that. A query may take a while to get there."""

        async def is_as_shown() -> bool:
            status, printed = await self.run(shown.command)
            return status == shown.status and shown.resembles(printed)

        if shown.command.startswith("datapunk query"):
            await eventually(is_as_shown, f"{shown.command} shows {shown.output}", PATIENCE_S)
            return
        status, printed = await self.run(shown.command)
        assert status == shown.status, f"{shown.command}: {printed}"
        assert not shown.output or shown.resembles(printed), f"{shown.command}: {printed}"


@asynccontextmanager
async def terminal(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A terminal, closed at the end."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "--noprofile",
        "--norc",
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1024 * 1024,
    )
    try:
        yield Terminal(process)
    finally:
        process.kill()
        await process.wait()
