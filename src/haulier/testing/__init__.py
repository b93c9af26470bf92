"""What tests of Haulier and of its plugins share: clocks, rigs, and suites that every implementation must pass."""
