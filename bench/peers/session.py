"""One run of a preset, from the machine's description to the files."""

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import measure
import picture
import table
from presets import ALL, OURS, PIECES, PRESETS
from processes import OUT


def run(options, program):
    if options.preset == "all":
        for name in ALL:
            run(argparse.Namespace(**vars(options) | {"preset": name}), program)
        return
    if options.preset in PIECES:
        return run_piece(options, program)
    preset = PRESETS[options.preset]()
    rounds = options.rounds or preset.rounds
    seconds = options.seconds or preset.seconds
    limits = limits_of(options)
    result = {
        "preset": options.preset,
        "title": PRESETS[options.preset].__doc__,
        "machine": machine(program, options),
        "rounds": rounds,
        "seconds": seconds,
        "groups": [],
        "memory": [],
    }
    groups = selected(preset.groups, options)
    pool = measure.Pool(program, limits)
    for at, group in enumerate(groups):
        say(f"[{at + 1}/{len(groups)}] {group.ours.name}")
        timed = measure.time_group(group, pool, rounds, seconds, say)
        result["groups"].append({"name": group.ours.name, **timed})
        save(result)  # as they come: a long run that is stopped keeps what it has
    pool.close()
    for memory in [] if options.no_memory else preset.memory:
        if options.only in memory.work.name:
            say(f"memory: {memory.work.name}")
            memory = replace(memory, who=tuple(w for w in memory.who if chosen(w, options)))
            result["memory"].append(measure.measure_memory(memory, program, limits, say))
            save(result)
    pictures = picture.draw(result, options.results.parent)
    table.write(result, options.results, pictures)
    say(f"wrote {options.results}, {raw(result)}, {', '.join(map(str, pictures))}")


def limits_of(options):
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return measure.Limits(options.time_limit, options.memory_limit * ram)


def run_piece(options, program):
    """A measurement with a module of its own: `measure`, `lines` for the table, `draw`."""
    piece = importlib.import_module(options.preset)
    result = {
        "preset": options.preset,
        "title": PIECES[options.preset],
        "machine": machine(program, options),
        "rounds": options.rounds or piece.ROUNDS,
        "lines": [],
    }
    for line in piece.measure(program, result["rounds"], limits_of(options), say, options):
        result["lines"].append(line)
        save(result)
    pictures = piece.draw(result, options.results.parent)
    body = [*table.machine(result), "", *piece.lines(result)]
    table.write_section(result, body, options.results, pictures)
    say(f"wrote {options.results}, {raw(result)}, {', '.join(map(str, pictures))}")


def chosen(who, options):
    return who == OURS or not options.peers or who in options.peers.split(",")


def selected(groups, options):
    out = []
    for group in groups:
        entries = tuple(e for e in group.entries if chosen(e.who, options))
        targets = tuple(t for t in group.targets if t.theirs in entries)
        if options.only in group.ours.name and len(entries) > 1:
            out.append(replace(group, entries=entries, targets=targets))
    return out


def raw(result):
    return OUT / f"{result['preset']}.json"


def save(result):
    raw(result).write_text(json.dumps(result, indent=1))


def machine(program, options):
    """Everything a reader needs to judge the figures."""
    packages = ("torch", "jax", "jaxlib", "folx", "numpy", "pandas", "polars")
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_start": os.getloadavg(),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {p: importlib.metadata.version(p) for p in packages}
        | {"python": platform.python_version()},
        "gradlogp": f"{output(program, '--version')}, commit {commit()}",
        "build": "release" if options.program is None else f"given: {'/'.join(options.program.parts[-2:])}",
    }


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    found = dict(tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line)
    wide = [f for f in ("avx2", "avx512f") if f in found.get("flags", "").split()]
    model = f"family {found.get('cpu family', '?')} model {found.get('model', '?')}"
    return f"{found.get('model name', platform.processor())} ({model}; {', '.join(wide)})"


def commit():
    """Of the tree, and whether what the program is built from differs from it."""
    git = "git", "-C", str(Path(__file__).parents[2])
    changed = output(*git, "status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock")
    described = output(*git, "describe", "--always") or "unknown"
    return described + "-dirty" * bool(changed)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def say(text):
    print(text, file=sys.stderr, flush=True)
