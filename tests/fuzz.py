"""Tries readers, commands and what devices say with damaged inputs: `make fuzz`.

    python tests/fuzz.py --seconds 300
    python tests/fuzz.py --seconds 20000 --inputs 50000 --results benchmarks/results/fuzz.json
    python tests/fuzz.py --seed 17 --target table --number 42   # one input again

The seed is printed; the same seed tries the same inputs. Exits with 1 where something was found.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from pathlib import Path

from rigs.fuzzing.fuzzer import Fault, fuzz, try_one
from rigs.fuzzing.targets import TARGETS

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from machine import machine_facts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long; 60 by default")
    parser.add_argument("--inputs", type=int, help="stop after so many")
    parser.add_argument("--results", type=Path, help="a JSON file for the counts by target")
    parser.add_argument("--seed", default=str(secrets.randbelow(10**6)), help="any word")
    parser.add_argument("--workers", type=int, help="processes; as many as processors by default")
    parser.add_argument("--target", action="append", help="only these; may be repeated")
    parser.add_argument("--number", type=int, help="only this input, of the one target")
    options = parser.parse_args()
    targets = [each for each in TARGETS if not options.target or each.name in options.target]
    if options.number is not None:
        (target,) = targets
        end = try_one(options.seed, target, options.number)
        print(end.detail if isinstance(end, Fault) else end)
        print("its files are in build/fuzz", file=sys.stderr)
        sys.exit(isinstance(end, Fault))
    begun = time.monotonic()
    summary = fuzz(options.seed, options.seconds, targets, options.workers, options.inputs)
    print(summary.render())
    if options.results is not None:
        told = {"seconds": round(time.monotonic() - begun), **summary.as_json()}
        found = {"machine": machine_facts(), **told}
        options.results.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(bool(summary.faults))


if __name__ == "__main__":
    main()
