//! Short names of types, for messages.

/// Shortens `a::b::Pool<c::Pg>` to `Pool<Pg>`. The paths of the defining crates would only make messages harder to
/// read.
#[must_use]
pub fn short_name(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            // `{{closure}}` is a part of a path, too.
            c if c.is_alphanumeric() || "_{}".contains(c) => word.push(c),
            c => {
                short.push_str(&std::mem::take(&mut word));
                short.push(c);
            }
        }
    }
    short + &word
}
