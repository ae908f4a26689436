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


class Remote:
    """An actor's method: takes its calls down, and answers with what `ray.get` is to give or raise."""

    def __init__(self, answer):
        self.answer, self.calls = answer, 0

    def remote(self):
        self.calls += 1
        return self.answer


@pytest.mark.parametrize(
    ("sampler", "limit", "told"),
    [
        ("alive", None, []),  # it has raised, and told the queue itself
        ("busy", None, []),
        ("killed", 600, ["done"]),
    ],
)
def test_an_asynchronous_run_waits_for_the_step_under_way_and_a_killed_sampler_does_not_keep_it(
    monkeypatch, sampler, limit, told
):
    import ray
    from ray.exceptions import ActorDiedError, GetTimeoutError

    from aer_openrlhf.platforms import current_platform

    current_platform().prepare_process()
    from aer_openrlhf.integration.trainer import PPOTrainerAsyncImpl

    waited, queue = [], []

    def get(answer, timeout=None):
        waited.append((answer, timeout))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ray, "get", get)
    answer = {"alive": True, "busy": GetTimeoutError(), "killed": ActorDiedError()}[sampler]
    run = PPOTrainerAsyncImpl.__new__(PPOTrainerAsyncImpl)
    run.trainer_actor = SimpleNamespace(rescue=Remote("the checkpoint"))
    run.generator_actor = SimpleNamespace(__ray_ready__=Remote(answer))
    run.rollout_queue = SimpleNamespace(put_nowait=queue.append)
    run._rescue()
    assert waited == [(answer, 5), ("the checkpoint", limit)]
    assert queue == told
