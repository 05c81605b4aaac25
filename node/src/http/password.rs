//! Passwords: argon2id, a few at a time, never on an async thread.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use chasqui_wire::ErrorCode;

use super::problem::Problem;
use crate::serve::{App, clock};

/// Checks the length of a new password.
pub(super) fn check(password: &str) -> Result<(), Problem> {
    if (8..=1024).contains(&password.len()) { Ok(()) } else { Err(Problem::invalid("a password has 8 to 1024 bytes")) }
}

/// PHC text (argon2id v19, OWASP's parameters).
pub(super) async fn hash(app: &App, password: String) -> Result<String, Problem> {
    let hashed = turn(app, move || {
        let salt: [u8; 16] = clock::random();
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    hashed.await?.map_err(|_| Problem::new(ErrorCode::Internal, "the password could not be hashed"))
}

/// Whether the password belongs to the hash. `None`, an unknown name, takes as long as a wrong password.
pub(super) async fn verify(app: &App, password: String, hash: Option<String>) -> Result<bool, Problem> {
    turn(app, move || match hash {
        Some(hash) => Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok(),
        None => {
            let spent = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
            drop(spent);
            false
        }
    })
    .await
}

async fn turn<T: Send + 'static>(app: &App, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = || Problem::new(ErrorCode::Internal, "the password could not be checked");
    let _place = app
        .hashing_queue
        .try_acquire()
        .map_err(|_| Problem::new(ErrorCode::RateLimited, "too many passwords at once"))?;
    let permit = app.hashing.clone().acquire_owned().await.map_err(|_| failed())?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    done.await.map_err(|_| failed())
}
