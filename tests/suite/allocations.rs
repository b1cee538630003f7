//! Steady state allocates the rows it stores and nothing else.
