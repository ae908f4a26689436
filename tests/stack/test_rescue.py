"""What a run that does not come to its end says of its last step."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def trainer(tmp_path):
    """The mixin in front of an OpenRLHF that has finished step 7 and writes the folders in `writes`."""
    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    from aer_openrlhf.integration.trainer import MethodTrainerMixin
    from aer_openrlhf.methods.aer import AER, AERConfig

    class OpenRLHF:
        writes: tuple[str, ...] = ()

        def save_logs_and_checkpoints(self, step, logs, states):
            for name in self.writes:
                (tmp_path / name).mkdir(parents=True)

    class Trainer(MethodTrainerMixin, OpenRLHF):
        pass

    made = Trainer.__new__(Trainer)
    made.args = SimpleNamespace(
        ckpt=SimpleNamespace(path=str(tmp_path), save_steps=float("inf"), disable_ds=False),
        rollout=SimpleNamespace(temperature=1.0),
    )
    made.method, made._finished = AER(AERConfig()), (7, {})
    made.wandb_logger = made.tensorboard_logger = None
    return made


@pytest.mark.parametrize(("disable_ds", "folder"), [(False, "_actor/global_step7"), (True, "global_step7_hf")])
def test_the_checkpoint_of_the_last_step_is_named(trainer, tmp_path, capsys, disable_ds, folder):
    trainer.args.ckpt.disable_ds, trainer.writes = disable_ds, (folder,)
    trainer.rescue()
    assert capsys.readouterr().out == f"[aer-train] step 7 is in the checkpoint {tmp_path / folder}\n"
    assert (tmp_path / folder / "aer_state.json").is_file()


def test_nothing_is_said_where_openrlhf_writes_nothing(trainer, capsys):
    trainer.args.ckpt.disable_ds = True
    trainer.rescue()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("somebody_died", "limit", "told"), [(False, None, []), (True, 600, ["done"])])
def test_an_asynchronous_run_waits_for_the_step_under_way_and_not_for_the_dead(
    monkeypatch, somebody_died, limit, told
):
    import ray

    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    from aer_openrlhf.integration.trainer import PPOTrainerAsyncImpl

    waited, queue = [], []
    monkeypatch.setattr(ray, "get", lambda answer, timeout=None: waited.append((answer, timeout)))
    run = PPOTrainerAsyncImpl.__new__(PPOTrainerAsyncImpl)
    run.trainer_actor = SimpleNamespace(rescue=SimpleNamespace(remote=lambda: "the checkpoint"))
    run.rollout_queue = SimpleNamespace(put_nowait=queue.append)  # a sampler that has raised has told the queue itself
    run._rescue(somebody_died)
    assert (waited, queue) == ([("the checkpoint", limit)], told)
