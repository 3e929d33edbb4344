//! `interceptor = ..` and `interceptors = [..]`.

use syn::Expr;

use crate::args::Arg;
use crate::diagnostics::Errors;

const EXAMPLE: &str = "|data, request, response| data";

/// The closures of either key.
pub(crate) fn parse(arg: &Arg, errors: &mut Errors) -> Vec<Expr> {
    let closures = if arg.name() == "interceptor" {
        arg.expression(&format!("interceptor = {EXAMPLE}"), errors)
            .into_iter()
            .collect()
    } else {
        arg.expressions(&format!("interceptors = [{EXAMPLE}]"), errors)
    };
    check(&closures, errors);
    closures
}

/// A closure with three arguments; the path of a function passes too, and the compiler judges it.
pub(crate) fn check(closures: &[Expr], errors: &mut Errors) {
    for closure in closures {
        let fits = match closure {
            Expr::Closure(closure) => closure.inputs.len() == 3 && closure.asyncness.is_none(),
            Expr::Path(_) | Expr::Group(_) => true,
            _ => false,
        };
        if !fits {
            errors.at(
                closure,
                format_args!("an interceptor is a closure with three arguments: `{EXAMPLE}`"),
            );
        }
    }
}
