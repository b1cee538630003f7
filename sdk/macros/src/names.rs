//! Names: of the module, and from one convention to another.

use interstice_abi::schema::Type;
use proc_macro2::Span;
use syn::{Error, Ident, ext::IdentExt};

/// The name of the module that is being compiled: its package's, with `_` for `-`.
pub(crate) fn module_name() -> Result<String, Error> {
    // Outside of cargo there is no package; any valid name does.
    std::env::var("CARGO_PKG_NAME").map_or_else(|_| Ok("module".into()), |name| of_package(&name))
}

fn of_package(package: &str) -> Result<String, Error> {
    let name = package.replace('-', "_");
    check_name(&name, Span::call_site()).map_err(|error| {
        let why = format!("{error}\nit is the package's: give it another one in Cargo.toml");
        Error::new(error.span(), why)
    })?;
    Ok(name)
}

/// The name of an item in the schema.
pub(crate) fn schema_name(ident: &Ident) -> Result<String, Error> {
    let name = ident.unraw().to_string();
    check_name(&name, ident.span())?;
    Ok(name)
}

/// The name of a struct or enum in the schema, where types are told apart by
/// their names alone.
pub(crate) fn type_name(ident: &Ident) -> Result<String, Error> {
    let name = schema_name(ident)?;
    match name.parse() {
        Ok(Type::Named(_)) => Ok(name),
        _ => {
            let why =
                format!("`{name}` is a type of every schema already: give this one another name");
            Err(Error::new(ident.span(), why))
        }
    }
}

/// Whether `text` can be a name in Rust, if need be as a raw identifier.
pub(crate) fn is_rust_name(text: &str) -> bool {
    let parses = |text: &str| syn::parse_str::<Ident>(text).is_ok();
    parses(text) || parses(&format!("r#{text}"))
}

/// Refuses names that a schema cannot have.
pub(crate) fn check_name(name: &str, span: Span) -> Result<(), Error> {
    if interstice_abi::schema::is_identifier(name) {
        return Ok(());
    }
    let why = format!(
        "`{name}` cannot be a name in a schema: these are letters, digits and `_` of ASCII, at most {}",
        interstice_abi::schema::limits::NAME_LEN
    );
    Err(Error::new(span, why))
}

/// `HourlyReading` -> `hourly_reading`.
pub(crate) fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, &char) in chars.iter().enumerate() {
        let after_lower = index > 0 && !chars[index - 1].is_uppercase() && chars[index - 1] != '_';
        let before_lower = chars.get(index + 1).is_some_and(|next| next.is_lowercase());
        let after_upper = index > 0 && chars[index - 1].is_uppercase();
        if char.is_uppercase() && (after_lower || (after_upper && before_lower)) {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
    }
    snake
}

/// `on_greeting` -> `OnGreeting`.
pub(crate) fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(chars).collect::<String>()
    };
    name.split('_').map(capital).collect()
}

/// The one of `known` that somebody who wrote `found` probably meant.
pub(crate) fn similar<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&&str| edit_distance(found, name);
    let nearest = known.iter().min_by_key(distance)?;
    (distance(&nearest) <= 1 + nearest.len() / 4).then_some(*nearest)
}

/// The fewest insertions, deletions and replacements that make `b` of `a`.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

/// An error about an option that does not exist.
pub(crate) fn unknown_option(found: &Ident, attribute: &str, known: &[&str]) -> Error {
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let mut text = format!("`{attribute}` has no option `{found}`");
    if let Some(similar) = similar(&found.to_string(), known) {
        text.push_str(&format!("; did you mean `{similar}`?"));
    }
    Error::new(found.span(), format!("{text}\nits options are {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_convention() {
        assert_eq!(snake_case("Greeting"), "greeting");
        assert_eq!(snake_case("HourlyReading"), "hourly_reading");
        assert_eq!(snake_case("HTTPServer2"), "http_server2");
        assert_eq!(camel_case("greet"), "Greet");
        assert_eq!(camel_case("on_greeting_2"), "OnGreeting2");
    }

    #[test]
    fn a_module_has_its_packages_name_if_a_schema_can_have_it() {
        assert_eq!(of_package("hello-world").unwrap(), "hello_world");
        let longest = "p".repeat(64);
        assert_eq!(of_package(&longest).unwrap(), longest);
        for package in ["p".repeat(65), "grüße".into()] {
            let error = of_package(&package).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{package}` cannot be a name in a schema")));
            assert!(error.ends_with("give it another one in Cargo.toml"), "{error}");
        }
    }

    #[test]
    fn typos_are_recognised() {
        assert_eq!(similar("wirtes", &["reads", "writes"]), Some("writes"));
        assert_eq!(similar("zzz", &["reads", "writes"]), None);
    }
}
