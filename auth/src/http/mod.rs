//! The HTTP side: addresses, shapes and statuses. What they mean is decided elsewhere.

mod admin;
mod extract;
mod guide;
mod problem;
mod public;
mod revocations;
mod sessions;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use problem::Problem;

use crate::app::App;

/// Larger bodies are refused, bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// All addresses with their description: one list makes both.
fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(document())
        .routes(routes!(public::well_known))
        .routes(routes!(public::jwks))
        .routes(routes!(guide::get))
        .routes(routes!(sessions::sign_in))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::sign_out))
        .routes(routes!(sessions::sign_in_node))
        .routes(routes!(revocations::revocations))
}

/// Addresses for administrators; a layer asks for their token.
fn administration() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(admin::users::list, admin::users::add))
        .routes(routes!(admin::users::one, admin::users::change, admin::users::remove))
        .routes(routes!(admin::packages::list))
        .routes(routes!(admin::packages::one, admin::packages::set, admin::packages::remove))
        .routes(routes!(admin::nodes::list, admin::nodes::add))
        .routes(routes!(admin::nodes::revoke))
        .routes(routes!(admin::prefixes::list, admin::prefixes::set, admin::prefixes::remove))
        .routes(routes!(admin::sessions::list))
        .routes(routes!(admin::sessions::end))
        .routes(routes!(admin::audit::list, admin::audit::add))
        .routes(routes!(admin::keys::list))
        .routes(routes!(admin::keys::rotate))
        .routes(routes!(admin::guide::status))
}

/// The whole service but for health and metrics.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = administration()
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), admin::guard));
    // A guide is larger than other bodies, and bounded by configuration.
    let feed = OpenApiRouter::new()
        .routes(routes!(admin::guide::set))
        .layer(DefaultBodyLimit::max(
            usize::try_from(app.config.guide.max_size.bytes()).unwrap_or(usize::MAX),
        ))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), admin::guard));
    let (router, document) = described().merge(guarded).merge(feed).split_for_parts();
    let document = Arc::new(document);
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(move || async move { axum::Json(document.as_ref().clone()) }),
        )
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(app)
}

/// The description of the interface, as `/v1/openapi.json` gives it.
pub fn openapi() -> OpenApi {
    let feed = OpenApiRouter::new().routes(routes!(admin::guide::set));
    described().merge(administration()).merge(feed).into_openapi()
}

fn document() -> OpenApi {
    let bearer = |what: &str| {
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what)).build(),
        )
    };
    let mut components = utoipa::openapi::Components::new();
    components.add_security_scheme("ticket", bearer("a user ticket or a node's ticket"));
    components.add_security_scheme("administrator", bearer("the administrator's token"));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Braidcast auth")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Accounts, packages, nodes, sessions, locations and keys.")),
        )
        .components(Some(components))
        .build()
}

#[cfg(test)]
mod tests;
