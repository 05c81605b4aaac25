/** What an app can do about an error; the same codes in every language. */
export type ErrorCode =
  | 'offline'
  | 'wrong_clock'
  | 'unauthorised'
  | 'forbidden'
  | 'not_found'
  | 'name_taken'
  | 'invalid'
  | 'too_large'
  | 'rate_limited'
  | 'invalid_token'
  | 'invalid_code'
  | 'attempts_exhausted'
  | 'waiting_period'
  | 'pin_needed'
  | 'wrong_pin'
  | 'account_deleted'
  | 'proof_needed'
  | 'unavailable'
  | 'storage_full'
  | 'not_enrolled'
  | 'log_in_again'
  | 'not_linked'
  | 'linking_failed'
  | 'wrong_phrase'
  | 'other_device'
  | 'already_enrolled'
  | 'folder_in_use'
  | 'incompatible'
  | 'suspended'
  | 'closed'
  | 'corrupt'
  | 'internal';

/** An error as it travels between workers and tabs. */
export interface ErrorShape {
  readonly code: ErrorCode;
  readonly message: string;
  readonly isRetryable: boolean;
  readonly detail?: string;
  readonly what?: string;
  readonly retryAfterMs?: number;
  readonly size?: number;
  readonly limit?: number;
}

/** Why something did not happen. Nothing was changed, unless the code says otherwise. */
export class ChasquiError extends Error {
  override readonly name = 'ChasquiError';
  /** Stable, to be compared. */
  readonly code: ErrorCode;
  /** Whether the very same call may succeed later. */
  readonly isRetryable: boolean;
  /** English, for developers. */
  readonly detail: string | undefined;
  /** `not_found`: what was looked for. */
  readonly what: string | undefined;
  /** `rate_limited`, `attempts_exhausted`, `waiting_period`: milliseconds; 0 = unknown. */
  readonly retryAfterMs: number | undefined;
  /** `too_large`: bytes given. */
  readonly size: number | undefined;
  /** `too_large`: bytes allowed. */
  readonly limit: number | undefined;

  /** @internal */
  constructor(shape: ErrorShape) {
    super(shape.message);
    this.code = shape.code;
    this.isRetryable = shape.isRetryable;
    this.detail = shape.detail;
    this.what = shape.what;
    this.retryAfterMs = shape.retryAfterMs;
    this.size = shape.size;
    this.limit = shape.limit;
  }
}

/** Whether trying again may help. */
const OWN = {
  invalid: false,
  closed: false,
  suspended: true,
  incompatible: false,
  internal: true,
  folder_in_use: true,
  unavailable: true,
  storage_full: true,
} satisfies Partial<Record<ErrorCode, boolean>>;

/** @internal An error that begins on this side of the core. */
export function failure(code: keyof typeof OWN, detail: string): ChasquiError {
  return new ChasquiError({ code, message: `${code.replace('_', ' ')}: ${detail}`, isRetryable: OWN[code], detail });
}
