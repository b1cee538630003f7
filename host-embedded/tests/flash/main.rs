//! The log in flash against a simulated flash: power cuts, damage, bad pages.

mod any_image;
mod cuts;
mod damage;
mod driver;
mod errors;
mod figures;
mod formats;
mod images;
mod regions;
mod scenes;
mod stuck;
mod waiting;
