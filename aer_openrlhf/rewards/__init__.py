"""Verifiable rewards for OpenRLHF's ``--reward.remote_url``, one file a task, and the grader they share."""
