"""The way of one file: state machine, parts, digests, streams, policy, and the engine that carries them out."""
