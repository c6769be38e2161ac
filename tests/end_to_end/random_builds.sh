#!/bin/bash
# Builds made up at random do the same with vestal as without (tests/random), and are replayed where nothing has changed.
exec "$BUILD/tests/random_builder" --seeds 1..200 --hits 5
