"""One file per published method; each composes parts with its paper's defaults and contains no loop."""
