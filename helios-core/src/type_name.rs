//! Names of types for people.

/// `a::b::Pool<c::Pg>` as `Pool<Pg>`: paths of the defining crates only obscure the chain.
#[must_use]
pub fn short_name(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                short.push_str(&std::mem::take(&mut word));
                short.push(c);
            }
        }
    }
    short + &word
}
