//! Snapshots of generated code, formatted.

use insta::assert_snapshot;
use proc_macro2::TokenStream;
use quote::quote;

use crate::{controller, http_error, injectable, server, sse_events};

fn pretty(tokens: &TokenStream) -> String {
    match syn::parse2(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("{error} in {tokens}"),
    }
}

#[test]
fn an_http_controller() {
    let args = quote! {
        prefix = "user",
        controllers = [UserMetadata],
        guards = [AuthGuard],
        interceptor = |data, _req, _res| data
    };
    let item = quote! {
        impl User {
            /// Finds a user.
            #[get("{id}")]
            #[header("Cache-Control", "no-store")]
            async fn find(
                &self,
                #[param] id: u64,
                #[query(default = 20)] size: usize,
                #[cookie("theme", default = "dark")] theme: &str,
                #[inject] mailer: Arc<dyn Mailer>,
                #[req] req: &RequestContext,
                #[res] res: &mut ResponseHead,
            ) -> Result<UserDto, HttpError> {
                Ok(self.users.find(id))
            }

            #[cfg(feature = "write")]
            #[post]
            #[http_code(201)]
            #[use_guards(WriteGuard)]
            #[use_interceptors(|data, _, _| data)]
            fn create(&self, #[header] user_agent: &str, headers: HeaderMap, body: Bytes) -> UserDto {
                self.users.create(body)
            }

            fn helper(&self) {}
        }
    };
    assert_snapshot!(pretty(&controller::controller(args, item)));
}

#[test]
fn an_sse_controller() {
    let item = quote! {
        impl User {
            #[sse("updates")]
            fn updates(&self, #[header("last-event-id")] last: Option<u64>) -> impl Stream<Item = SseEvent> {
                events(last)
            }

            #[sse("progress/{job}", method = "POST", restart)]
            async fn progress(&self, #[param] job: JobId, #[req] req: &RequestContext, stream: SseStream) {}

            #[sse("time")]
            fn time(&self) -> SseStream {
                SseStream::new()
            }

            #[sse("subscribe")]
            async fn subscribe(&self, #[inject_sse] sse: SseService) -> Result<SseReply<SseStream>, HttpError> {
                Ok(sse.create_connection())
            }

            #[on_sse_connection]
            async fn opened(&self, client: SseStream, #[req] req: &RequestContext, #[inject] log: Arc<Log>, #[param(outer)] tenant: u64) -> Result<(), HttpError> {
                Ok(())
            }

            #[on_sse_error]
            async fn failed(&self, client: &SseStream, error: &SseError) {}

            #[on_sse_snapshot]
            async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
                Ok(())
            }

            #[cfg(feature = "close")]
            #[on_sse_close]
            fn closed(&self, reason: CloseReason) {}

            #[cfg(not(feature = "close"))]
            #[on_sse_close]
            fn noted(&self) {}
        }
    };
    assert_snapshot!(pretty(&controller::controller(TokenStream::new(), item)));
}

#[test]
fn a_generic_controller() {
    let item = quote! {
        impl<S: Store, const N: usize> Records<S, N>
        where
            S: Clone,
        {
            #[helios::get("{id}")]
            async fn find<'a>(&'a self, #[param] id: Cow<'a, str>, #[inject] store: Arc<S>) -> Option<String> {
                store.find(&id)
            }

            #[post]
            fn create(&self, page: Query<S::Page>, #[body] record: S::Record) {}

            #[put]
            fn replace(&self, #[body(unvalidated)] record: S::Record, limits: Limits<S>) {}

            #[patch]
            fn change(&self, #[body] record: Plain) {}
        }
    };
    let args = quote!(prefix = "records", crate = my::facade);
    assert_snapshot!(pretty(&controller::controller(args, item)));
}

#[test]
fn a_refused_controller() {
    let item = quote! {
        impl User {
            #[get(":id")]
            fn find(&self, #[parm] id: u64) -> String {
                id.to_string()
            }
        }
    };
    assert_snapshot!(pretty(&controller::controller(
        quote!(prefx = "user"),
        item
    )));
}

#[test]
fn a_server() {
    let args = quote! {
        controllers = [User, Admin<Local>],
        guards = [AuthGuard],
        port = 3000,
        sse(keep_alive = false, retry = "3s", control_prefix = "app:")
    };
    let item = quote! {
        pub struct App;
    };
    assert_snapshot!(pretty(&server::server(args, item)));
}

#[test]
fn an_injectable() {
    let item = quote! {
        #[inject(on_start = connect, on_stop = Self::flush)]
        struct User<T> {
            store: Arc<T>,
            mailer: Arc<dyn Mailer>,
            sse: SseService,
            #[inject(default)]
            calls: AtomicU64,
        }
    };
    assert_snapshot!(pretty(&injectable::injectable(item)));
}

#[test]
fn an_error_enum() {
    let item = quote! {
        enum OrderError<T> {
            #[http(status = 404, title = "No such order")]
            Unknown,
            #[http(status = 409)]
            Taken { by: T },
            #[cfg(feature = "payment")]
            #[http(transparent)]
            Payment(PaymentError),
            #[http(transparent)]
            Stock { source: StockError },
        }
    };
    assert_snapshot!(pretty(&http_error::http_error(item)));
}

#[test]
fn an_error_struct() {
    let item = quote! {
        #[http(status = 503, crate = my::facade)]
        struct Overloaded(u32);
    };
    assert_snapshot!(pretty(&http_error::http_error(item)));
}

#[test]
fn events() {
    let item = quote! {
        #[sse(rename_all = "kebab-case")]
        enum Progress<T> {
            JobStarted,
            Step { done: u32, r#type: T },
            Pair(u32, String),
            #[sse(rename = "finish")]
            Done(Report),
        }
    };
    assert_snapshot!(pretty(&sse_events::sse_events(item)));
}
