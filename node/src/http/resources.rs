//! A router that remembers what it routes, so that a test can compare it with docs/openapi.json.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

/// Resources with their methods, for handlers that share a state.
pub(crate) struct Resources<S> {
    router: Router<S>,
    list: Vec<(Method, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Resources<S> {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), list: Vec::new() }
    }

    /// The handler answers this method there.
    pub(crate) fn on<H: Handler<T, S>, T: 'static>(mut self, method: Method, path: &'static str, handler: H) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("one of the methods of HTTP/1.1");
        self.list.push((method, path));
        Self { router: self.router.route(path, on(filter, handler)), list: self.list }
    }

    pub(crate) fn router(self) -> Router<S> {
        self.router
    }

    /// What it answers.
    #[cfg(test)]
    pub(crate) fn list(self) -> Vec<(Method, &'static str)> {
        self.list
    }
}
