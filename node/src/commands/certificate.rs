//! What the certificate of the configuration is worth now: a line or two for `check` and `config --check`.

use chasqui_node::config::Config;
use chasqui_node::serve::{Age, check_tls};

use super::Failure;

/// Prints what it finds; nothing if the configuration names no certificate.
///
/// # Errors
/// [`Failure::Certificate`] if nobody could connect with it, after all has been printed.
pub(super) fn look(config: &Config) -> Result<(), Failure> {
    let Some(files) = config.tls_files() else { return Ok(()) };
    let (certificate, age) = match check_tls(&files) {
        Ok(read) => read,
        Err(error) => {
            println!("problem: {error}");
            return Err(Failure::Certificate);
        }
    };
    match certificate.names.join(", ").as_str() {
        "" => println!("problem: {} names nobody whom it is for", files.certificate.display()),
        names => println!("certificate: {} is for {names}", files.certificate.display()),
    }
    match age {
        Age::Good(_) => println!("certificate: {age}"),
        Age::Ending(_) => println!("note: {age}"),
        Age::NotYet(_) | Age::Ended => println!("problem: {age}"),
    }
    let is_usable = matches!(age, Age::Good(_) | Age::Ending(_)) && !certificate.names.is_empty();
    if is_usable { Ok(()) } else { Err(Failure::Certificate) }
}
