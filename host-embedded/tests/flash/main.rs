//! The log in flash against a simulated flash: power cuts, damage, bad pages.

mod cuts;
mod damage;
mod driver;
mod errors;
mod figures;
mod waiting;
