"""Where the time of a run goes: operators by the runtime's own tracing, blocks, and their page."""
