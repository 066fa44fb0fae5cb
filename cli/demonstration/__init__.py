"""`shelian demo`: the main job, driven through public interfaces only, each step timed and proved."""
