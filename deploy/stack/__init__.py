"""The stack on one machine: real servers, every process of ours, a supervisor over all of them."""
