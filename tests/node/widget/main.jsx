// The vendor's widget as its documentation mounts it; the test gives `window.TEST` {port, token} before the page loads.
import '@radix-ui/themes/styles.css';
import '@workos-inc/widgets/styles.css';
import { Pipes, WorkOsWidgets } from '@workos-inc/widgets';
import { createRoot } from 'react-dom/client';

const { port, token, shared } = window.TEST;
createRoot(document.getElementById('root')).render(
  <WorkOsWidgets apiHostname="localhost" port={port} https={false}>
    <Pipes authToken={token} enableSharedConnections={shared} />
  </WorkOsWidgets>,
);
