"""The daemon of the UI: Dagster's own, which ends with the web server."""

import runpy

from assets.serving.lifeline import end_with_starter

if __name__ == "__main__":
    end_with_starter()
    runpy.run_module("dagster._daemon", run_name="__main__", alter_sys=True)
