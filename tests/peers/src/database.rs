//! A database whose commits each insert one row, for start-up and the node.
