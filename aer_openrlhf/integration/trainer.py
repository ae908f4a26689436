"""The controller process, sync and async: the method's state, its metrics, and both in checkpoints and logs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from openrlhf.trainer import ppo_trainer, ppo_trainer_async
from ray.util.queue import Full

from .. import runlog
from . import charts, checkpoints, evaluation, samples_generator
from .compat import raw_class
from .experience_maker import EntropyExperienceMaker
from .faults import AGAIN, RunFault, is_death, original
from .flags import build_guards, build_method, stop_guards
from .guarding import RunGuards
from .policy_actor import COEFFICIENT_KEY, COUNTED_KEY, SHARED_KEY
from .prometheus import Gauges
from .samples import SampleTables
from .stopping import StopRequest

RESCUE_SECONDS = 600
"""For the checkpoint on the way out, where the trainer may wait for what has died."""


class MethodTrainerMixin:
    """In front of `BasePPOTrainer`'s two subclasses, PPOTrainer (sync) and TrainingActor (async)."""

    args: Any
    experience_maker: Any
    best_eval_metric_value: float
    tensorboard_logger: Any
    wandb_logger: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = build_method(self.args)
        self.run_dir = Path(self.args.aer.run_dir)
        self.guards = RunGuards(
            build_guards(self.args, self.method),
            self.run_dir,
            stop_guards(self.args.aer.stop_on),
            self.tensorboard_logger,
        )
        self.gauges = Gauges(self.run_dir.name)
        if self.tensorboard_logger is not None:
            self.tensorboard_logger.writer.add_custom_scalars(charts.layout())
        self._finished: tuple[int, dict] | None = None  # between two steps: the last one, and its client states
        self._stop = StopRequest()
        stock = self.experience_maker
        self.experience_maker = EntropyExperienceMaker(
            stock.actor_model_group,
            stock.critic_model_group,
            stock.reward_model_group,
            stock.initial_model_group,
            stock.kl_ctl,
            stock.strategy,
            stock.tokenizer,
            method=self.method,
            samples=SampleTables(self.run_dir, self.args.aer.sample_tables, stock.tokenizer),
        )

    def train_step(self, rollout_samples: list, global_step: int) -> tuple[dict, int]:
        self.experience_maker.step = global_step + 1
        self._finished = None
        status, global_step = super().train_step(rollout_samples, global_step)  # type: ignore[misc]
        for key in list(status):  # OpenRLHF logs all of `info`; the exact numbers are below
            if key in (COEFFICIENT_KEY, COUNTED_KEY) or key.startswith(SHARED_KEY):
                del status[key]
        status.update(self.experience_maker.metrics)
        return status, global_step

    def ppo_train(self, global_steps: int) -> dict:
        """OpenRLHF's update; a rank raises where it is not finite, before its weights go anywhere."""
        try:
            return super().ppo_train(global_steps)  # type: ignore[misc]
        except RunFault as fault:
            raise RunFault(
                f"step {global_steps + 1}, --aer.method {self.method.name}: {original(fault)} "
                f"({self._about_the_batch()}). Neither vLLM nor a checkpoint has got these weights. Look at the "
                f"learning rate, at aer/alpha and its bounds and at the rewards, then {AGAIN}"
            ) from fault

    def _about_the_batch(self) -> str:
        shown = ("aer/entropy", "aer/alpha", "aer/coef_mean")
        metrics = self.experience_maker.metrics
        return ", ".join(f"{name} {metrics[name]:.4g}" for name in shown if name in metrics)

    def save_logs_and_checkpoints(
        self, global_step: int, logs_dict: dict | None = None, client_states: dict | None = None
    ) -> None:
        logs = dict(logs_dict or {})
        pass_rate = logs.get("dynamic_filtering_pass_rate")
        if pass_rate is not None:  # OpenRLHF divides accepted responses by drawn prompts, in percent
            logs["aer/filtered_share"] = 1 - pass_rate / 100 / self.args.rollout.n_samples_per_prompt
        said, leave = self.guards.check(global_step, logs)
        logs |= said
        self.gauges.set(runlog.numbers_only(logs))
        runlog.append_metrics(self.run_dir, global_step, logs)
        super().save_logs_and_checkpoints(global_step, logs, self._with_state(client_states))  # type: ignore[misc]
        if global_step % self.args.ckpt.save_steps == 0:
            self._finish_checkpoint(f"global_step{global_step}")
        self._finished = (global_step, dict(client_states or {}))
        if leave is not None:
            raise leave
        self._stop.raise_if_made()

    def rescue(self) -> None:
        """On the way out of a run that does not come to its end: checkpoint the last finished step.

        Unless it has one, or a step is under way: its weights are then mixed.
        """
        try:
            if self._finished is not None:
                step, client_states = self._finished
                self._save(step, client_states)
                folder = self._folder(f"global_step{step}")
                if folder.is_dir():  # with --ckpt.disable_ds and without --ckpt.save_hf OpenRLHF writes nothing
                    print(f"[aer-train] step {step} is in the checkpoint {folder}", flush=True)
        finally:
            self._finished = None
            for tracker in filter(None, (self.wandb_logger, self.tensorboard_logger)):
                tracker.close()

    def _save(self, step: int, client_states: dict) -> None:
        every = self.args.ckpt.save_steps
        if step % every == 0:
            return
        self.args.ckpt.save_steps = 1  # OpenRLHF saves at its multiples: now
        try:
            super().save_logs_and_checkpoints(step, {}, self._with_state(client_states))  # type: ignore[misc]
            self._finish_checkpoint(f"global_step{step}")
        finally:
            self.args.ckpt.save_steps = every

    @contextlib.contextmanager
    def rescuing(self) -> Iterator[None]:
        """What comes out of the block is raised again, after a checkpoint of what it has left intact."""
        try:
            yield
        except Exception:
            try:
                self.rescue()
            except Exception as second:
                print(f"[aer-train] no checkpoint could be written on the way out: {second}", flush=True)
            raise

    def save_best_checkpoint(self, eval_metrics: dict, global_step: int, client_states: dict | None = None) -> None:
        if eval_metrics:
            runlog.append_evaluation(self.run_dir, global_step, eval_metrics)
        best_before = self.best_eval_metric_value
        super().save_best_checkpoint(eval_metrics, global_step, self._with_state(client_states))  # type: ignore[misc]
        if self.best_eval_metric_value != best_before:
            self._finish_checkpoint(f"best_global_step{global_step}")

    def init_checkpoint_states(self) -> dict:
        fresh = {"episode": 0, "global_step": 0, "total_consumed_prompts": 0, "data_loader_state_dict": {}}
        # DeepSpeed finds nothing in an empty checkpoint folder and OpenRLHF then answers {}.
        return fresh | super().init_checkpoint_states()  # type: ignore[misc]

    def restore_best_checkpoint_state(self, checkpoint_states: dict) -> None:
        """Called at the beginning of `fit`."""
        super().restore_best_checkpoint_state(checkpoint_states)  # type: ignore[misc]
        if not self.args.ckpt.load_enable:
            return
        runlog.rewind(self.run_dir, checkpoint_states.get("global_step", 0))
        self.guards.resume(checkpoint_states.get("global_step", 0))
        sidecar = Path(self.args.actor.model_name_or_path) / checkpoints.STATE_FILE
        if checkpoints.STATE_KEY in checkpoint_states:
            state = checkpoint_states[checkpoints.STATE_KEY]
        elif checkpoint_states.get("global_step", 0) > 0:
            folder = Path(self.args.ckpt.path) / checkpoints.ACTOR
            raise RunFault(checkpoints.stock_refusal(checkpoints.pointed_at(folder) or folder, []))
        elif sidecar.exists():
            state = json.loads(sidecar.read_text())
        else:
            return
        try:
            checkpoints.check_settings(state, self.args)
        except ValueError as error:
            raise RunFault(str(error)) from None
        self.method.load_state_dict(state)
        print(f"[aer-train] AER state restored: {self.method.state_dict()}", flush=True)

    def _with_state(self, client_states: dict | None) -> dict:
        return {**(client_states or {}), checkpoints.STATE_KEY: checkpoints.state_of(self.method, self.args)}

    def _folder(self, tag: str) -> Path:
        """Where OpenRLHF writes a checkpoint: DeepSpeed's folder, or that of the Hugging Face weights alone."""
        root = Path(self.args.ckpt.path)
        return root / f"{tag}_hf" if self.args.ckpt.disable_ds else root / checkpoints.ACTOR / tag

    def _finish_checkpoint(self, tag: str) -> None:
        """All ranks have written theirs."""
        if self._folder(tag).is_dir():
            checkpoints.write_state(self._folder(tag), checkpoints.state_of(self.method, self.args))


class PPOTrainerImpl(MethodTrainerMixin, raw_class(ppo_trainer.PPOTrainer)):  # type: ignore[misc]
    """OpenRLHF's synchronous trainer with a method."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        samples_generator.attach(self.samples_generator, self._stop)
        evaluation.log_pass_at_k(self.evaluate)

    def fit(self, *args: Any, **kwargs: Any) -> None:
        with self.rescuing():
            samples_generator.refuse_too_few_prompts(self.samples_generator)
            super().fit(*args, **kwargs)


class GenerateSamplesActorImpl(raw_class(ppo_trainer_async.GenerateSamplesActor)):  # type: ignore[misc]
    """OpenRLHF's asynchronous sampler, asked for log-probs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        samples_generator.attach(self.samples_generator, StopRequest())
        evaluation.log_pass_at_k(self._run_eval)

    def fit(self, *args: Any, **kwargs: Any) -> None:
        try:
            samples_generator.refuse_too_few_prompts(self.samples_generator)
            super().fit(*args, **kwargs)
        except Exception:
            self.rollout_queue.put("done", block=True)  # the trainer finishes what it has, and can be asked to save
            raise


class TrainingActorImpl(MethodTrainerMixin, raw_class(ppo_trainer_async.TrainingActor)):  # type: ignore[misc]
    """OpenRLHF's asynchronous trainer with a method."""

    def broadcast_to_vllm(self) -> None:
        super().broadcast_to_vllm()  # overridden for its zero-argument super(), see compat.py


PPOTrainer = ray.remote(PPOTrainerImpl)
GenerateSamplesActor = ray.remote(GenerateSamplesActorImpl)
TrainingActor = ray.remote(TrainingActorImpl)


class PPOTrainerAsyncImpl(raw_class(ppo_trainer_async.PPOTrainerAsync)):  # type: ignore[misc]
    """Starts our two actors: OpenRLHF's constructor reads them from its module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        ppo_trainer_async.GenerateSamplesActor = GenerateSamplesActor
        ppo_trainer_async.TrainingActor = TrainingActor
        super().__init__(*args, **kwargs)

    def fit(self) -> None:
        try:
            super().fit()
        except Exception as error:
            with contextlib.suppress(Exception):
                self._rescue(somebody_died=is_death(error))
            raise

    def _rescue(self, somebody_died: bool) -> None:
        """Have the trainer checkpoint its last finished step, behind the one under way, however long that takes.

        A sampler that has raised has said in the queue that there is no more. One that was killed has not, and the
        step under way may wait for it, or for an engine, for ever.
        """
        rescue = self.trainer_actor.rescue.remote()
        if somebody_died:
            with contextlib.suppress(Full):
                self.rollout_queue.put_nowait("done")
        ray.get(rescue, timeout=RESCUE_SECONDS if somebody_died else None)


PPOTrainerAsync = ray.remote(PPOTrainerAsyncImpl)
