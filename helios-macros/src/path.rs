//! Path templates: `user/{id}` and `files/{*rest}`.

/// A template without mistakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) text: String,
    pub(crate) params: Vec<Param>,
}

/// A parameter of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) catch_all: bool,
}

impl Template {
    /// Parses a template, or lists all its mistakes.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut params: Vec<Param> = Vec::new();
        let mut mistakes = character_mistakes(text);
        let segments: Vec<_> = text.split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            let is_last = segments[index + 1..].iter().all(|rest| rest.is_empty());
            match param_of(segment, is_last) {
                Err(mistake) => mistakes.push(mistake),
                Ok(Some(param)) if params.iter().any(|known| known.name == param.name) => {
                    mistakes.push(format!(
                        "`{{{}}}` is in the path twice: give one of them another name",
                        param.name
                    ));
                }
                Ok(param) => params.extend(param),
            }
        }
        if mistakes.is_empty() {
            return Ok(Self {
                text: text.to_owned(),
                params,
            });
        }
        Err(mistakes)
    }

    /// Returns the template without names and outer slashes. Templates with the same shape match the same requests.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        let mut rest = self.text.trim_matches('/');
        while let Some((before, (inner, after))) = rest
            .split_once('{')
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            shape.push_str(before);
            shape.push_str(if inner.starts_with('*') { "{*}" } else { "{}" });
            rest = after;
        }
        shape + rest
    }
}

fn character_mistakes(text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    if text.contains("//") {
        mistakes
            .push("`//` makes an empty segment, which no request has: write one `/`".to_owned());
    }
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        mistakes.push(format!("a path cannot hold {c:?}: write `%20` for a space"));
    }
    let outside = outside_params(text);
    if outside.contains('?') {
        mistakes.push(
            "a path ends before `?`: take keys of the query string with `#[query]`".to_owned(),
        );
    }
    if outside.contains('#') {
        mistakes.push("a path ends before `#`: clients do not send what follows it".to_owned());
    }
    if outside.contains('\\') {
        mistakes
            .push("browsers send `/` for `\\`: write `/`, or `%5C` for the sign itself".to_owned());
    }
    let is_escape = |(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.match_indices('%').all(is_escape) {
        mistakes
            .push("`%` begins an escape, as in `%20`: write `%25` for the sign itself".to_owned());
    }
    if let Some(dots) = text.split('/').find(|segment| is_dots(segment)) {
        mistakes.push(format!(
            "a path with a segment `{dots}` gets a 400: leave it out"
        ));
    }
    mistakes
}

fn is_dots(segment: &str) -> bool {
    let segment = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(segment.as_str(), "." | "..")
}

/// Returns the parameter of one segment.
fn param_of(segment: &str, is_last: bool) -> Result<Option<Param>, String> {
    if let Some(name) = segment.strip_prefix(':').filter(|name| is_identifier(name)) {
        return Err(format!(
            "`:{name}` is another framework's syntax: write `{{{name}}}`"
        ));
    }
    let angled = segment
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    if let Some(name) = angled.filter(|name| is_identifier(name)) {
        return Err(format!(
            "`<{name}>` is another framework's syntax: write `{{{name}}}`"
        ));
    }
    let Some((before, rest)) = segment.split_once('{') else {
        return without_param(segment);
    };
    let Some((inner, after)) = rest.split_once('}') else {
        return Err(format!(
            "the `{{` in `{segment}` is not closed: write `{{name}}`"
        ));
    };
    without_param(before)?;
    if after.contains('{') {
        return Err(format!(
            "`{segment}` has two parameters: put a `/` between them"
        ));
    }
    without_param(after)?;
    let param = param_named(inner)?;
    if param.catch_all && !(before.is_empty() && after.is_empty()) {
        return Err(format!(
            "`{{{inner}}}` matches whole segments: put a `/` between it and the rest of `{segment}`"
        ));
    }
    if param.catch_all && !is_last {
        return Err(format!(
            "`{{{inner}}}` matches everything that follows: nothing can come after it"
        ));
    }
    Ok(Some(param))
}

fn without_param(text: &str) -> Result<Option<Param>, String> {
    if text.contains('}') {
        return Err(format!(
            "the `}}` in `{text}` was not opened: write `{{name}}`"
        ));
    }
    if let Some((_, name)) = text.split_once('*') {
        let name = if is_identifier(name) { name } else { "rest" };
        return Err(format!(
            "`*` alone is another framework's syntax: write `{{*{name}}}`"
        ));
    }
    Ok(None)
}

fn param_named(inner: &str) -> Result<Param, String> {
    let name = inner.strip_prefix('*').unwrap_or(inner);
    if name.is_empty() {
        return Err(format!(
            "`{{{inner}}}` has no name: write `{{{inner}name}}`"
        ));
    }
    if let Some((name, _)) = name.split_once(':') {
        return Err(format!(
            "a parameter has no pattern: write `{{{name}}}`, and the type of the argument decides what it matches"
        ));
    }
    if !is_identifier(name) {
        return Err(format!(
            "`{name}` is not a name: use letters, digits and `_`, as in `{{user_id}}`"
        ));
    }
    Ok(Param {
        name: name.to_owned(),
        catch_all: inner.starts_with('*'),
    })
}

/// Returns the text outside of braces.
fn outside_params(text: &str) -> String {
    let mut depth = 0_usize;
    let mut outside = String::new();
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    starts && chars.all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let template = Template::parse(text).expect(text);
        template
            .params
            .into_iter()
            .map(|param| param.name)
            .collect()
    }

    fn mistake(text: &str) -> String {
        Template::parse(text).expect_err(text).join("; ")
    }

    #[test]
    fn templates_are_read() {
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("/"), [""; 0]);
        assert_eq!(names("user/{id}/posts/{post_id}/"), ["id", "post_id"]);
        assert_eq!(names("v{version}/img-{name}.png"), ["version", "name"]);
        assert_eq!(names("files/{*rest}"), ["rest"]);
        assert_eq!(names("{type}"), ["type"]);
        assert_eq!(names("a:b/@me/~x/%20"), [""; 0]);
        assert_eq!(names("naïve/.well-known/...|\"^"), [""; 0]);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        assert!(mistake("user/:id").contains("write `{id}`"));
        assert!(mistake("files/*").contains("write `{*rest}`"));
        assert!(mistake("files/*path").contains("write `{*path}`"));
        assert!(mistake("{id").contains("not closed"));
        assert!(mistake("id}").contains("not opened"));
        assert!(mistake("{}").contains("no name"));
        assert!(mistake("{*}").contains("write `{*name}`"));
        assert!(mistake("{user-id}").contains("not a name"));
        assert!(mistake("{*rest}/x").contains("nothing can come after it"));
        assert!(mistake("x{*rest}").contains("whole segments"));
        assert!(mistake("{a}{b}").contains("two parameters"));
        assert!(mistake("{a}-{b}").contains("two parameters"));
        assert!(mistake("{a}/{a}").contains("twice"));
        assert!(mistake("a//b").contains("one `/`"));
        assert!(mistake("a b").contains("%20"));
        assert!(mistake("a?b=1").contains("#[query]"));
        assert!(mistake("a#b").contains("do not send"));
        assert!(mistake("a\\b").contains("%5C"));
        assert!(mistake("100%").contains("%25"));
        assert!(mistake("%4{a}").contains("%25"));
        assert!(mistake("%ä").contains("%25"));
        assert!(mistake("a/../b").contains("`..`"));
        assert!(mistake(".%2e").contains("`.%2e`"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        assert_eq!(Template::parse(":id//{}/a b").unwrap_err().len(), 4);
    }

    #[test]
    fn the_shape_forgets_names_and_outer_slashes() {
        let shape = |text| Template::parse(text).expect(text).shape();
        assert_eq!(shape("/user/{id}/"), shape("user/{name}"));
        assert_ne!(shape("user/{id}"), shape("user/{*id}"));
        assert_ne!(shape("user/{id}.png"), shape("user/{id}"));
        assert_eq!(shape(""), shape("/"));
    }
}
