"""`aer-train`: OpenRLHF's train_ppo_ray with the `--aer.*` flags.

OpenRLHF's command-line module keeps its parser under `if __name__ == "__main__"`, so it is run as `__main__` with two
interceptions: `parse_args` gets our flags and checks, and `train` gets our classes.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from .. import runlog
from ..integration import checkpoints, compat, faults, flags, preflight, stopping
from ..integration.guarding import refuse_stopped
from ..integration.leaving import LeaveTraining
from ..platforms import current_platform
from . import dry_run

OPENRLHF_CLI = "openrlhf.cli.train_ppo_ray"
PROGRAM = "aer-train"
UPSTREAM_MARK = "--actor.entropy_coef"


def main() -> None:
    """Entry point of `aer-train` and of `python3 -m aer_openrlhf.cli.train_ppo_ray`."""
    try:
        compat.check_version()
        current_platform().prepare_process()
        compat.check_hook_points()
    except RuntimeError as error:
        _refuse(error)
    sys.argv[0] = PROGRAM
    stock_parse_args = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = _parse_args_with_aer(stock_parse_args)  # type: ignore[method-assign]
    try:
        runpy.run_module(OPENRLHF_CLI, run_name="__main__", alter_sys=True)
    except AssertionError as error:  # OpenRLHF's own argument checks
        if _Run.started:
            raise
        _refuse(error)
    finally:
        argparse.ArgumentParser.parse_args = stock_parse_args  # type: ignore[method-assign]


def _refuse(problem: object) -> NoReturn:
    """End, before anything has started, as the parser ends."""
    print(f"{PROGRAM}: error: {problem}", file=sys.stderr, flush=True)
    sys.exit(2)


class _Run:
    """Whether OpenRLHF's argument checks are behind us."""

    started = False


def _parse_args_with_aer(stock: Callable[..., Any]) -> Callable[..., Any]:
    def parse_args(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        if UPSTREAM_MARK not in parser._option_string_actions:
            return stock(parser, *args, **kwargs)
        parser.prog = PROGRAM  # runpy has made it the name of OpenRLHF's file
        parser.add_argument("--dry-run", action="store_true", help="check and describe the run, start nothing")
        flags.add_arguments(parser)
        namespace = stock(parser, *args, **kwargs)
        runlog.hide_secrets(namespace)
        try:
            flags.check_arguments(namespace)
            preflight.check_paths(namespace)
        except ValueError as error:
            parser.error(str(error))
        idle = flags.without_effect(namespace)
        if idle:
            print(f"[aer-train] without --aer.enable these have no effect: {', '.join(idle)}", flush=True)
        openrlhf_cli: Any = sys.modules["__main__"]
        openrlhf_cli.train = _train_with_aer(openrlhf_cli.train)
        return namespace

    return parse_args


def _train_with_aer(stock_train: Callable[[SimpleNamespace], None]) -> Callable[[SimpleNamespace], None]:
    def train(args: SimpleNamespace) -> None:
        platform = current_platform()
        run_dir = Path(args.aer.run_dir or args.ckpt.output_dir).absolute()
        try:
            if args.dry_run:  # of the run as it is asked for: a login node need not have the GPUs
                print("\n".join(dry_run.describe(args)))
            platform.configure(args)
            if args.aer.enable and args.ckpt.load_enable:
                refuse_stopped(run_dir, flags.stop_guards(args.aer.stop_on))
                if not args.dry_run:
                    checkpoints.prepare_resume(args)
        except ValueError as error:
            _refuse(error)
        if args.dry_run:
            return
        args.aer.run_dir = str(run_dir)
        if args.aer.enable:
            _start_record(run_dir, args)
        _install_classes(args)
        _Run.started = True
        import ray

        try:
            try:
                platform.start_ray(args)
                stock_train(args)
            finally:
                ray.shutdown()
                if args.aer.enable:
                    runlog.end_run(run_dir)
        except Exception as error:  # after the shutdown: until then Ray prints what its processes still say
            _end(error, args.ckpt.disable_ds)

    return train


def _start_record(run_dir: Path, args: SimpleNamespace) -> None:
    try:
        runlog.start_run(run_dir, args.aer.method, args, resume=args.ckpt.load_enable)
    except OSError as error:
        _refuse(f"--aer.run_dir {run_dir}: cannot be written ({error}): give another folder")


def _end(error: Exception, starts_anew: bool) -> None:
    """End a run that did not come to its end, with the line that says why.

    starts_anew: there is no checkpoint to go on from, which the processes that raise do not look at.
    """

    def line(text: str) -> str:
        return f"{PROGRAM}: {text.replace(faults.AGAIN, faults.ANEW) if starts_anew else text}"

    sys.stdout.flush()  # what Ray's processes have printed stands before it, in a file too
    for link in faults.chain(error):
        if isinstance(link, LeaveTraining):
            print(line(link.reason), file=sys.stderr, flush=True)
            sys.exit(link.exit_code)
    traceback.print_exception(error)
    sys.exit(line(f"error: {faults.explain(error)}"))


def _install_classes(args: SimpleNamespace) -> None:
    """Put our actor classes where OpenRLHF's `train` looks them up, in this process only."""
    from openrlhf.trainer.ray import vllm_engine

    from ..integration import rollout_engine

    vllm_engine.RolloutRayActor = rollout_engine.RolloutRayActor
    if not args.aer.enable:
        return
    openrlhf_cli: Any = sys.modules["__main__"]
    openrlhf_cli.get_strategy = _after_ray_has_started(openrlhf_cli.get_strategy)
    from openrlhf.trainer import ppo_trainer, ppo_trainer_async

    from ..integration import policy_actor, reference_actor, trainer

    openrlhf_cli.RayActorGroup = rollout_engine.ActorGroup
    openrlhf_cli.PolicyModelActor = policy_actor.PolicyModelActor
    openrlhf_cli.ReferenceModelActor = reference_actor.ReferenceModelActor
    ppo_trainer.PPOTrainer = trainer.PPOTrainer
    ppo_trainer_async.PPOTrainerAsync = trainer.PPOTrainerAsync


def _after_ray_has_started(get_strategy: Callable[..., Any]) -> Callable[..., Any]:
    """`ray.init` sets a SIGTERM handler; OpenRLHF's `train` makes its strategy right after it."""

    def get_strategy_and_heed_signals(args: SimpleNamespace, *rest: Any, **kwargs: Any) -> Any:
        stopping.on_signal(with_checkpoint=args.ckpt.save_hf or not args.ckpt.disable_ds)
        return get_strategy(args, *rest, **kwargs)

    return get_strategy_and_heed_signals


if __name__ == "__main__":
    main()
