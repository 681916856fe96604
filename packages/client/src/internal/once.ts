// The one attempt that the SDK makes of a call.
import { HttpRequest } from "@smithy/core/protocols"
import { v4 } from "@smithy/core/serde"
import type { RetryStrategy } from "@smithy/types"

/**
 * In the place of the SDK's retries. These make an error, with its stack, before each call, in case that they will have one to tell: a
 * twentieth of all that a call takes. The headers are theirs.
 *
 * @internal
 */
export const once: RetryStrategy = {
  retry: (next, args) => {
    const { request } = args
    if (HttpRequest.isInstance(request)) {
      request.headers["amz-sdk-invocation-id"] = v4()
      request.headers["amz-sdk-request"] = "attempt=1; max=1"
    }
    return next(args).then((result) => {
      Object.assign(result.output.$metadata, { attempts: 1, totalRetryDelay: 0 })
      return result
    })
  }
}
