// What usually causes a failed webhook or job, and what to do about it.

const NO_STATUS = {
  no_address: "The host name does not resolve from the service's machine.",
  connect_failed: "Nothing accepts connections there. Does your server run, and is this port open to the service?",
  tls_failed: "The certificate has expired, is for another name, or lacks its intermediate.",
  timeout: "Answer with a 2xx first, and do the work afterwards.",
  reset: "Your server closed the connection before it answered.",
  bad_answer: "The answer was not HTTP, or not complete. Is this the right port?",
  answer_too_long: "The answer's headers are too long.",
  unexpected: "This is a bug of the service. Its log says more.",
};
const STATUS = {
  400: "If the signature is the cause: verify the raw body, with the secret of this user.",
  401: "Exempt this path from logins.",
  403: "Exempt this path from logins and CSRF checks.",
  404: "Your server has nothing at this path.",
  405: "Your server must accept POST at this path.",
  410: "This answer turned off the webhooks of this job.",
  429: "It is retried, but not before the time in Retry-After, if there is one.",
  503: "It is retried, but not before the time in Retry-After, if there is one.",
};
const JOB = {
  provider_refused: "Correct the input, then submit it again.",
  provider_credentials: "The operator must first set a valid key for the provider.",
  submit_outcome_unknown: "It may be running: look for it at the provider before you submit it again.",
  deadline_exceeded: "A result that the provider reports within a day replaces this failure.",
  result_missing: "A result that the provider reports within a day replaces this failure.",
  provider_job_lost: "A result that the provider reports within a day replaces this failure.",
};

/** Advice on an attempt at a webhook; empty if it was accepted, or says enough itself. */
export function attemptAdvice({ error, status_code: status }) {
  if (error) return NO_STATUS[error.split(":")[0]] ?? "";
  if (STATUS[status]) return STATUS[status];
  if (status >= 300 && status < 400) return "Redirects are not followed: use the final URL.";
  return status >= 500 ? "Your server failed; its log says why." : "";
}

/** Advice on a job that failed with this error; empty if its message says enough. */
export const jobAdvice = ({ code }) => JOB[code] ?? "";
