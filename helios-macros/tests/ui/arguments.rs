//! Attributes and types of arguments.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[get("{id}/a")]
    fn unknown(&self, #[parm] id: u64, #[qury] q: String, #[serde(default)] s: String) {}

    #[get("b")]
    fn two(&self, #[query] #[header] token: String) {}

    #[get("c")]
    fn conditional(&self, #[cfg(test)] a: u64, #[cfg_attr(test, query)] b: u64) {}

    #[post("d")]
    fn kinds(
        &self,
        #[req] a: RequestContext,
        #[req] b: &mut RequestContext,
        #[res] c: ResponseHead,
        #[res] d: &ResponseHead,
        #[inject] e: User,
        #[inject] f: &User,
        #[inject] g: SseService,
        #[inject] h: Arc<SseService>,
        #[inject_sse] i: Arc<SseService>,
        #[query] j: &mut String,
    ) {
    }

    #[post("e")]
    fn two_bodies(&self, #[body] a: String, #[body] b: String) {}

    #[post("e2")]
    fn two_kinds_of_body(&self, a: Json<String>, b: Result<Form<String>, HttpError>, #[body] c: String) {}

    #[get("f")]
    fn body_of_get(&self, #[body] a: String) {}

    #[head("g")]
    fn body_of_head(&self, #[body] a: String) {}

    #[sse("h")]
    async fn body_of_sse(&self, #[body] a: String, stream: SseStream) {}

    #[get("h2")]
    fn json_of_get(&self, a: Json<String>) {}

    #[post("h3")]
    fn allowed_anyway(&self, #[body(allow_get)] a: String) {}

    #[post("h4")]
    fn of_other_frameworks(&self, #[path] a: u64, #[json] b: String, #[form] c: String, #[state] d: Arc<User>) {}

    #[post("h5")]
    fn wrapped(&self, #[inject] a: State<User>, #[inject] b: Option<Arc<User>>, #[inject] c: web::Data<Vec<User>>) {}

    #[get("i")]
    fn opaque(&self, #[query] a: impl Send) {}

    #[post("j/{a}")]
    fn borrowed(
        &self,
        #[param] a: Option<&str>,
        #[query] b: Vec<(&[u8], &str)>,
        #[header] c: Result<&str, HttpError>,
        #[cookie] d: Option<&'static str>,
        e: Query<Vec<&str>>,
        #[body] f: Option<&str>,
        #[query] g: &[&str],
    ) {
    }

    #[post("j2")]
    fn borrowed_for_life<'a>(&self, #[query] a: (&'static str), #[query] b: Option<&'a str>, c: Json<&str>) {}

    #[allow(dead_code)]
    fn no_route(&self, #[query] a: String) {}
}

fn main() {}
